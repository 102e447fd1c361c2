"""Checkpoints of other text-to-image pipelines, small enough for tests: random weights, real classes, real files.

Each builder writes a checkpoint that draws images of 32 × 32 pixels, and gives its folder. As in `tiny_models`,
weights are random but not weak: prompts, seeds and scales change what is drawn.
"""

from __future__ import annotations

from pathlib import Path

from diffusers import (
    AuraFlowPipeline,
    AuraFlowTransformer2DModel,
    AutoencoderDC,
    AutoencoderKLFlux2,
    AutoencoderKLQwenImage,
    ChromaPipeline,
    ChromaTransformer2DModel,
    CogVideoXDDIMScheduler,
    CogView3PlusPipeline,
    CogView3PlusTransformer2DModel,
    CogView4Pipeline,
    CogView4Transformer2DModel,
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    Flux2KleinPipeline,
    Flux2Transformer2DModel,
    FluxPipeline,
    FluxTransformer2DModel,
    HiDreamImagePipeline,
    HiDreamImageTransformer2DModel,
    LatentConsistencyModelPipeline,
    LCMScheduler,
    Lumina2Pipeline,
    Lumina2Transformer2DModel,
    OvisImagePipeline,
    OvisImageTransformer2DModel,
    PixArtAlphaPipeline,
    PixArtSigmaPipeline,
    PixArtTransformer2DModel,
    QwenImagePipeline,
    QwenImageTransformer2DModel,
    SanaPipeline,
    SanaSprintPipeline,
    SanaTransformer2DModel,
    SCMScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
    ZImagePipeline,
    ZImageTransformer2DModel,
)
from tiny_parts import (
    MAX_TOKENS,
    SIZE_PX,
    WIDTH,
    autoencoder,
    clip_text_encoder,
    clip_tokenizer,
    gemma,
    gemma_tokenizer,
    objecting_safety_checker,
    qwen3,
    qwen_tokenizer,
    save,
    seeded,
    strong,
    t5,
    t5_tokenizer,
)
from transformers import (
    GlmConfig,
    GlmModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen3ForCausalLM,
    Qwen3Model,
    UMT5Config,
    UMT5EncoderModel,
)

from tiny_models import _feature_extractor

NOISE_SCHEDULE = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
# SDXL's configuration has these beside what its own scheduler reads
FOR_DDIM = {"clip_sample": False, "set_alpha_to_one": False}


def build_sdxl(folder: Path, *, turbo: bool = False) -> Path:
    with seeded():
        scheduler = (
            EulerAncestralDiscreteScheduler(**NOISE_SCHEDULE, timestep_spacing="trailing")
            if turbo
            else EulerDiscreteScheduler.from_config({**NOISE_SCHEDULE, **FOR_DDIM})
        )
        pipeline = StableDiffusionXLPipeline(
            vae=autoencoder(),
            text_encoder=clip_text_encoder(),
            text_encoder_2=clip_text_encoder(projected=True),
            tokenizer=clip_tokenizer(),
            tokenizer_2=clip_tokenizer(),
            unet=strong(
                UNet2DConditionModel(
                    sample_size=SIZE_PX // 4,
                    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                    block_out_channels=(16, 32),
                    layers_per_block=1,
                    attention_head_dim=4,
                    norm_num_groups=8,
                    cross_attention_dim=2 * WIDTH,
                    addition_embed_type="text_time",
                    addition_time_embed_dim=8,
                    projection_class_embeddings_input_dim=6 * 8 + WIDTH,
                ),
                "conv_out.weight",
            ),
            scheduler=scheduler,
        )
    return save(pipeline, folder)


def build_sd3(folder: Path) -> Path:
    with seeded():
        pipeline = StableDiffusion3Pipeline(
            transformer=strong(
                SD3Transformer2DModel(
                    sample_size=SIZE_PX // 4,
                    in_channels=4,
                    out_channels=4,
                    num_layers=2,
                    attention_head_dim=8,
                    num_attention_heads=4,
                    joint_attention_dim=2 * WIDTH,
                    caption_projection_dim=32,
                    pooled_projection_dim=2 * WIDTH,
                    pos_embed_max_size=16,
                    qk_norm="rms_norm",
                )
            ),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=autoencoder(),
            text_encoder=clip_text_encoder(projected=True),
            tokenizer=clip_tokenizer(),
            text_encoder_2=clip_text_encoder(projected=True),
            tokenizer_2=clip_tokenizer(),
            text_encoder_3=t5(2 * WIDTH),
            tokenizer_3=t5_tokenizer(),
        )
    return save(pipeline, folder)


def build_pixart(folder: Path, *, alpha: bool = False) -> Path:
    with seeded():
        pipeline = (PixArtAlphaPipeline if alpha else PixArtSigmaPipeline)(
            tokenizer=t5_tokenizer(),
            text_encoder=t5(WIDTH),
            vae=autoencoder(),
            transformer=strong(
                PixArtTransformer2DModel(
                    sample_size=SIZE_PX // 4,
                    num_layers=2,
                    attention_head_dim=8,
                    num_attention_heads=4,
                    cross_attention_dim=32,
                    caption_channels=WIDTH,
                    use_additional_conditions=False,
                )
            ),
            scheduler=DPMSolverMultistepScheduler(beta_start=0.0001, beta_end=0.02),
        )
    return save(pipeline, folder)


def build_sana(folder: Path, *, sprint: bool = False) -> Path:
    with seeded():
        scheduler = (
            SCMScheduler()
            if sprint
            else DPMSolverMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0)
        )
        pipeline = (SanaSprintPipeline if sprint else SanaPipeline)(
            tokenizer=gemma_tokenizer(),
            text_encoder=gemma(),
            vae=strong(
                AutoencoderDC(
                    latent_channels=4,
                    attention_head_dim=4,
                    encoder_block_out_channels=(8, 16),
                    decoder_block_out_channels=(8, 16),
                    encoder_layers_per_block=(1, 1),
                    decoder_layers_per_block=(1, 1),
                    encoder_qkv_multiscales=((), ()),
                    decoder_qkv_multiscales=((), ()),
                ),
                "decoder.conv_out.weight",
            ),
            transformer=strong(
                SanaTransformer2DModel(
                    sample_size=SIZE_PX // 2,
                    in_channels=4,
                    out_channels=4,
                    num_layers=1,
                    num_attention_heads=2,
                    attention_head_dim=8,
                    num_cross_attention_heads=2,
                    cross_attention_head_dim=8,
                    cross_attention_dim=16,
                    caption_channels=WIDTH,
                    guidance_embeds=sprint,
                )
            ),
            scheduler=scheduler,
        )
    return save(pipeline, folder)


def build_lcm(folder: Path, *, safety_checker: bool = False) -> Path:
    with seeded():
        pipeline = LatentConsistencyModelPipeline(
            vae=autoencoder(),
            text_encoder=clip_text_encoder(),
            tokenizer=clip_tokenizer(),
            unet=strong(
                UNet2DConditionModel(
                    sample_size=SIZE_PX // 4,
                    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
                    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
                    block_out_channels=(16, 32),
                    layers_per_block=1,
                    attention_head_dim=4,
                    norm_num_groups=8,
                    cross_attention_dim=WIDTH,
                    time_cond_proj_dim=8,
                ),
                "conv_out.weight",
            ),
            scheduler=LCMScheduler(**NOISE_SCHEDULE),
            safety_checker=objecting_safety_checker() if safety_checker else None,
            feature_extractor=_feature_extractor() if safety_checker else None,
            requires_safety_checker=safety_checker,
        )
    return save(pipeline, folder)


def build_aura_flow(folder: Path) -> Path:
    with seeded():
        tokenizer = t5_tokenizer()
        pipeline = AuraFlowPipeline(
            tokenizer=tokenizer,
            text_encoder=UMT5EncoderModel(
                UMT5Config(
                    vocab_size=len(tokenizer),
                    d_model=WIDTH,
                    d_kv=16,
                    d_ff=64,
                    num_heads=2,
                    num_layers=1,
                    initializer_factor=3.0,
                )
            ).eval(),
            vae=autoencoder(),
            transformer=strong(
                AuraFlowTransformer2DModel(
                    sample_size=SIZE_PX // 4,
                    in_channels=4,
                    num_mmdit_layers=1,
                    num_single_dit_layers=1,
                    attention_head_dim=16,
                    num_attention_heads=2,
                    joint_attention_dim=WIDTH,
                    caption_projection_dim=32,
                    pos_embed_max_size=64,
                ),
                layers={
                    "joint_transformer_blocks.0.norm1.linear.weight": 10.0,
                    "joint_transformer_blocks.0.attn.add_v_proj.weight": 30.0,
                },
            ),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=1.73),
        )
    return save(pipeline, folder)


def build_chroma(folder: Path) -> Path:
    with seeded():
        pipeline = ChromaPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=autoencoder(),
            text_encoder=t5(WIDTH),
            tokenizer=t5_tokenizer(),
            transformer=strong(
                ChromaTransformer2DModel(
                    in_channels=16,
                    num_layers=1,
                    num_single_layers=1,
                    attention_head_dim=16,
                    num_attention_heads=2,
                    joint_attention_dim=WIDTH,
                    axes_dims_rope=(4, 4, 8),
                    approximator_num_channels=8,
                    approximator_hidden_dim=32,
                    approximator_layers=1,
                )
            ),
        )
    return save(pipeline, folder)


def build_cogview4(folder: Path) -> Path:
    with seeded():
        pipeline = CogView4Pipeline(
            tokenizer=t5_tokenizer(),  # as GLM's, it makes a token of the empty text
            text_encoder=GlmModel(
                GlmConfig(
                    vocab_size=len(t5_tokenizer()),
                    hidden_size=WIDTH,
                    intermediate_size=2 * WIDTH,
                    num_hidden_layers=2,
                    num_attention_heads=2,
                    num_key_value_heads=1,
                    head_dim=16,
                    initializer_range=0.3,
                    pad_token_id=0,
                    eos_token_id=1,
                )
            ).eval(),
            vae=autoencoder(),
            transformer=strong(
                CogView4Transformer2DModel(
                    sample_size=SIZE_PX // 4,
                    in_channels=4,
                    out_channels=4,
                    num_layers=2,
                    attention_head_dim=8,
                    num_attention_heads=4,
                    text_embed_dim=WIDTH,
                    time_embed_dim=32,
                    condition_dim=8,
                    pos_embed_max_size=16,
                    rope_axes_dim=(16, 16),
                )
            ),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
        )
    return save(pipeline, folder)


def build_lumina2(folder: Path) -> Path:
    with seeded():
        pipeline = Lumina2Pipeline(
            transformer=strong(
                Lumina2Transformer2DModel(
                    sample_size=SIZE_PX // 8,
                    in_channels=4,
                    hidden_size=48,
                    num_layers=1,
                    num_refiner_layers=1,
                    num_attention_heads=2,
                    num_kv_heads=1,
                    multiple_of=16,
                    axes_dim_rope=(8, 8, 8),
                    axes_lens=(512, 64, 64),
                    cap_feat_dim=WIDTH,
                ),
                "norm_out.linear_2.weight",
            ),
            scheduler=FlowMatchEulerDiscreteScheduler(shift=6.0),
            vae=autoencoder((8, 8, 8, 16)),  # the pipeline takes its eight pixels a latent for granted
            text_encoder=gemma(),
            tokenizer=gemma_tokenizer(),
        )
    return save(pipeline, folder)


def build_flux(folder: Path, *, schnell: bool = False) -> Path:
    with seeded():
        pipeline = FluxPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=not schnell),
            vae=autoencoder(),
            text_encoder=clip_text_encoder(),
            tokenizer=clip_tokenizer(),
            text_encoder_2=t5(WIDTH),
            tokenizer_2=t5_tokenizer(),
            transformer=strong(
                FluxTransformer2DModel(
                    in_channels=16,
                    num_layers=1,
                    num_single_layers=1,
                    attention_head_dim=16,
                    num_attention_heads=2,
                    joint_attention_dim=WIDTH,
                    pooled_projection_dim=WIDTH,
                    guidance_embeds=not schnell,
                    axes_dims_rope=(4, 4, 8),
                )
            ),
        )
    return save(pipeline, folder)


def build_flux2_klein(folder: Path, *, distilled: bool = False) -> Path:
    with seeded():
        layers = 27  # of which the pipeline reads the 9th, the 18th and the last
        pipeline = Flux2KleinPipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=not distilled),
            vae=strong(
                AutoencoderKLFlux2(
                    down_block_types=("DownEncoderBlock2D",) * 3,
                    up_block_types=("UpDecoderBlock2D",) * 3,
                    block_out_channels=(8, 8, 16),
                    layers_per_block=1,
                    latent_channels=4,
                    norm_num_groups=4,
                ),
                "decoder.conv_out.weight",
            ),
            text_encoder=Qwen3ForCausalLM(qwen3(layers)).eval(),
            tokenizer=qwen_tokenizer(),
            transformer=strong(
                Flux2Transformer2DModel(
                    in_channels=16,
                    num_layers=1,
                    num_single_layers=1,
                    attention_head_dim=16,
                    num_attention_heads=2,
                    joint_attention_dim=3 * WIDTH,
                    timestep_guidance_channels=16,
                    axes_dims_rope=(4, 4, 4, 4),
                    guidance_embeds=False,
                ),
                layers={"proj_out.weight": 3.0, "context_embedder.weight": 5.0},
            ),
            is_distilled=distilled,
        )
    return save(pipeline, folder)


def build_hidream(folder: Path) -> Path:
    with seeded():
        tokenizer = qwen_tokenizer()
        fast = PreTrainedTokenizerFast(
            tokenizer_object=tokenizer._tokenizer, eos_token="<|endoftext|>", model_max_length=MAX_TOKENS
        )
        llama = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=WIDTH,
            intermediate_size=2 * WIDTH,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=1,
            head_dim=16,
            initializer_range=0.3,
        )
        pipeline = HiDreamImagePipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=autoencoder(),
            text_encoder=clip_text_encoder(projected=True, max_tokens=128),
            tokenizer=clip_tokenizer(128),
            text_encoder_2=clip_text_encoder(projected=True, max_tokens=128),
            tokenizer_2=clip_tokenizer(128),
            text_encoder_3=t5(WIDTH),
            tokenizer_3=t5_tokenizer(),
            text_encoder_4=LlamaForCausalLM(llama).eval(),
            tokenizer_4=fast,
            transformer=strong(
                HiDreamImageTransformer2DModel(
                    patch_size=2,
                    in_channels=4,
                    out_channels=4,
                    num_layers=1,
                    num_single_layers=1,
                    attention_head_dim=16,
                    num_attention_heads=2,
                    caption_channels=[WIDTH, WIDTH],
                    text_emb_dim=2 * WIDTH,
                    num_routed_experts=2,
                    num_activated_experts=1,
                    axes_dims_rope=(4, 4, 8),
                    max_resolution=(16, 16),
                    llama_layers=[0, 1],
                ),
                "final_layer.linear.weight",
            ),
        )
    return save(pipeline, folder)


def build_ovis(folder: Path) -> Path:
    with seeded():
        pipeline = OvisImagePipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True),
            vae=autoencoder(),
            text_encoder=Qwen3Model(qwen3(2)).eval(),
            tokenizer=qwen_tokenizer(),
            transformer=strong(
                OvisImageTransformer2DModel(
                    in_channels=16,
                    out_channels=16,
                    num_layers=1,
                    num_single_layers=1,
                    attention_head_dim=16,
                    num_attention_heads=2,
                    joint_attention_dim=WIDTH,
                    axes_dims_rope=(4, 4, 8),
                ),
            ),
        )
    return save(pipeline, folder)


def build_cogview3(folder: Path) -> Path:
    with seeded():
        pipeline = CogView3PlusPipeline(
            tokenizer=t5_tokenizer(),
            text_encoder=t5(WIDTH),
            vae=autoencoder(),
            transformer=strong(
                CogView3PlusTransformer2DModel(
                    sample_size=SIZE_PX // 4,
                    in_channels=4,
                    out_channels=4,
                    num_layers=1,
                    attention_head_dim=8,
                    num_attention_heads=4,
                    text_embed_dim=WIDTH,
                    time_embed_dim=32,
                    condition_dim=8,
                    pos_embed_max_size=16,
                )
            ),
            scheduler=CogVideoXDDIMScheduler(prediction_type="v_prediction", timestep_spacing="trailing"),
        )
    return save(pipeline, folder)


def build_qwen_image(folder: Path) -> Path:
    with seeded():
        tokenizer = qwen_tokenizer()
        text = {
            "vocab_size": len(tokenizer),
            "bos_token_id": tokenizer.eos_token_id,
            "eos_token_id": tokenizer.eos_token_id,
            "hidden_size": WIDTH,
            "intermediate_size": 2 * WIDTH,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "num_key_value_heads": 1,
            "initializer_range": 0.3,
            "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 3, 3]},
        }
        vision = {
            "depth": 1,
            "hidden_size": 16,
            "intermediate_size": 16,
            "num_heads": 2,
            "out_hidden_size": WIDTH,
            "fullatt_block_indexes": [0],
        }
        pipeline = QwenImagePipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(),
            vae=strong(
                AutoencoderKLQwenImage(
                    base_dim=8,
                    z_dim=4,
                    dim_mult=[1, 1, 1],
                    num_res_blocks=1,
                    temperal_downsample=[False, True],
                    latents_mean=[0.0] * 4,
                    latents_std=[1.0] * 4,
                ),
                "decoder.conv_out.weight",
            ),
            text_encoder=Qwen2_5_VLForConditionalGeneration(
                Qwen2_5_VLConfig(text_config=text, vision_config=vision)
            ).eval(),
            tokenizer=tokenizer,
            transformer=strong(
                QwenImageTransformer2DModel(
                    in_channels=16,
                    out_channels=4,
                    num_layers=2,
                    attention_head_dim=16,
                    num_attention_heads=2,
                    joint_attention_dim=WIDTH,
                    axes_dims_rope=(4, 4, 8),
                ),
                layers={"transformer_blocks.0.attn.to_out.0.weight": 30.0},
            ),
        )
    return save(pipeline, folder)


def build_z_image(folder: Path) -> Path:
    with seeded():
        tokenizer = qwen_tokenizer()
        pipeline = ZImagePipeline(
            scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
            vae=autoencoder(),
            text_encoder=Qwen3Model(qwen3(2)).eval(),
            tokenizer=tokenizer,
            transformer=strong(
                ZImageTransformer2DModel(
                    in_channels=4,
                    dim=32,
                    n_layers=1,
                    n_refiner_layers=1,
                    n_heads=2,
                    n_kv_heads=2,
                    cap_feat_dim=WIDTH,
                    axes_dims=[4, 4, 8],
                    axes_lens=[512, 64, 64],
                ),
                "all_final_layer.2-1.linear.weight",
            ),
        )
    return save(pipeline, folder)
